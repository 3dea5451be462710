package example.classifier

import android.graphics.Bitmap
import android.graphics.ImageDecoder
import android.net.Uri
import android.os.Bundle
import android.provider.MediaStore
import android.widget.Button
import android.widget.LinearLayout
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.PickVisualMediaRequest
import androidx.activity.result.contract.ActivityResultContracts.PickVisualMedia
import com.google.mediapipe.framework.image.BitmapImageBuilder
import com.google.mediapipe.tasks.vision.imageclassifier.ImageClassifier

/** Classifies a photograph of the library: the file says itself how pixels are given and what the classes are called. */
class MainActivity : ComponentActivity() {
    private val classifier by lazy { ImageClassifier.createFromFile(this, "model.tflite") }
    private val answer by lazy { TextView(this) }
    private val pick = registerForActivityResult(PickVisualMedia()) { uri -> uri?.let { show(photo(it)) } }

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        val button = Button(this).apply {
            text = "Choose a photograph"
            setOnClickListener { pick.launch(PickVisualMediaRequest(PickVisualMedia.ImageOnly)) }
        }
        setContentView(LinearLayout(this).apply {
            orientation = LinearLayout.VERTICAL
            setPadding(48, 96, 48, 48)
            addView(button)
            addView(answer)
        })
    }

    override fun onDestroy() {
        classifier.close()
        super.onDestroy()
    }

    private fun photo(uri: Uri): Bitmap =
        if (android.os.Build.VERSION.SDK_INT >= 28) {
            ImageDecoder.decodeBitmap(ImageDecoder.createSource(contentResolver, uri)) { decoder, _, _ ->
                decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE // the library reads the pixels
            }.copy(Bitmap.Config.ARGB_8888, false)
        } else {
            @Suppress("DEPRECATION") MediaStore.Images.Media.getBitmap(contentResolver, uri)
        }

    private fun show(photo: Bitmap) {
        val result = classifier.classify(BitmapImageBuilder(photo).build())
        val best = result.classificationResult().classifications()[0].categories().sortedByDescending { it.score() }.take(3)
        answer.text = best.joinToString("\n") { "%5.1f %%  %s".format(100 * it.score(), it.categoryName()) }
    }
}
