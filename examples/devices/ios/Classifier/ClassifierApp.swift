import MediaPipeTasksVision
import PhotosUI
import SwiftUI

/// Classifies a photograph of the library: the file says itself how pixels are given and what the classes are called.
@main
struct ClassifierApp: App {
    var body: some Scene {
        WindowGroup { ContentView() }
    }
}

struct ContentView: View {
    @State private var item: PhotosPickerItem?
    @State private var answer = ""

    var body: some View {
        VStack(spacing: 24) {
            PhotosPicker("Choose a photograph", selection: $item, matching: .images)
            Text(answer).font(.body.monospaced())
        }
        .padding()
        .onChange(of: item) { chosen in
            Task { answer = await classified(chosen) }
        }
    }

    private func classified(_ item: PhotosPickerItem?) async -> String {
        do {
            guard let data = try await item?.loadTransferable(type: Data.self), let photo = UIImage(data: data) else {
                return "This is no photograph."
            }
            guard let path = Bundle.main.path(forResource: "model", ofType: "tflite") else {
                return "model.tflite is no resource of the app."
            }
            let classifier = try ImageClassifier(modelPath: path)
            let result = try classifier.classify(image: MPImage(uiImage: photo))
            let best = result.classificationResult.classifications[0].categories.sorted { $0.score > $1.score }.prefix(3)
            return best.map { String(format: "%5.1f %%  %@", 100 * $0.score, $0.categoryName ?? "") }.joined(separator: "\n")
        } catch {
            return error.localizedDescription
        }
    }
}
